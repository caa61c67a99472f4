@echo off
rem Carvana's pictures and masks into data\imgs and data\masks; see download_data.py beside it.
py -3 "%~dp0download_data.py" %*
exit /b %errorlevel%
